"""``python -m incontext``, so that launchers such as torchrun can start the command line."""

from incontext.cli import main

main()
