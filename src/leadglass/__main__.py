"""``python -m leadglass``."""

from leadglass.cli.main import main

main()
