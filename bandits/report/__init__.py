"""The report of a run: tables, sentences and one HTML page, from two JSON files and nothing else."""
