"""`python -m meltemi.init`: see `meltemi.init.shell.start`."""

import sys

from meltemi.init.shell.start import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
