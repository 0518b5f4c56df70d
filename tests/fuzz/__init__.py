"""What nobody in his right mind would send: tickets, commands, actions and streams, changed at random."""
