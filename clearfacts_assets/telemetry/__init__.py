"""What the running system tells of itself: logs now; metrics and traces stand here too when they come."""
