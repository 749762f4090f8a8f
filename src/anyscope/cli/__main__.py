"""``python -m anyscope.cli``."""

import sys

from anyscope.cli import main

sys.exit(main())
