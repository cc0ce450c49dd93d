"""The other side of the demo and of the tests: a Java backend, a Clearfacts and a Slack that speak real HTTP."""
