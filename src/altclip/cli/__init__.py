"""The command `altclip`.

One file per command, named in the table of `app.py`. The file defines the function `command`, whose annotated
parameters are the options, and whose docstring is the help; and `EXAMPLE`, one line a person can type, shown at the end
of the help.
The file must import quickly: torch and all that imports it belong inside the function.
"""
