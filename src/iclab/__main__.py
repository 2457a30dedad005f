"""``python -m iclab``, so that launchers such as torchrun can start the command line."""

from iclab.cli import main

main()
