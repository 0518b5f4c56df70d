"""What ``rasterflight-server`` can do; each command imports what it needs when it runs, so that a server starts without the rest."""
