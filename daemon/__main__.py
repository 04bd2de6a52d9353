"""`python -m affectd.daemon` is `affectd`."""

import sys

from affectd.daemon.cli import main

sys.exit(main())
