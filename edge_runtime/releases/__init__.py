"""Another network while the camera runs: brought, tried beside the one that runs, put in force, taken back."""
