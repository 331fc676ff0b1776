"""The BOINC wrapper: runs a job.xml on the host or in virtual machines."""
