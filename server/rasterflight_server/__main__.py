"""``python -m rasterflight_server`` is ``rasterflight-server``."""

import sys

from rasterflight_server.cli import main

sys.exit(main())
