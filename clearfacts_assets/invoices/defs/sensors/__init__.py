"""What watches by itself: alerts, days that were missed, deliveries that are due."""
