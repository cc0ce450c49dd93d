"""``python -m clearfacts_assets`` is the ``clearfacts`` command."""

from clearfacts_assets.cli.main import main

main()
