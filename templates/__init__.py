"""What is said: Liquid templates compiled and rendered. Nothing here knows of workflows, people or channels."""
