"""What a job.xml means: its model, its reader, its checker."""
