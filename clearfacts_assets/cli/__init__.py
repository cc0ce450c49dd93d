"""The ``clearfacts`` command. Each command's file imports what it needs only when it runs, so that help is quick."""
