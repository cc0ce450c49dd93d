"""Whether the process of a run still lives: each run beats, and a watch notices when one does not any more."""
