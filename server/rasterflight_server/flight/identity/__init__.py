"""Who makes a call, by what he shows: tokens, JSON web tokens, certificates."""
