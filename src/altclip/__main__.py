"""`python -m altclip` is the command `altclip`."""

from altclip.cli.app import main

if __name__ == "__main__":
    main()
