"""How a server is seen from outside: figures, health, a line for each call, traces."""
