"""What is told to people: facts become messages, messages wait in an outbox, a channel takes them away."""
