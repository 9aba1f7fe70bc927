"""What a user would pick instead, run for real; installed into a place of their own, never among the product's."""
