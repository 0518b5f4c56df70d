"""Messages generated from ``proto/rasterflight/v1``; made by ``make proto``."""
