"""What ships the product."""
