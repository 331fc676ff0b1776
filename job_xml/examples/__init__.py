"""Jobs that show what a job.xml can do, and the demo that runs them."""
