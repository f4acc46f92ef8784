"""What an event costs, by the price versions of the instant at which it was."""
