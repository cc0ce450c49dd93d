"""What both domains need of Dagster: the executor whose runs give signs of life, their monitor, tags and metadata."""
