"""What the machines remember: decisions, metrics, health."""
