"""Task configuration and plugin options: tables, schemas, checks. Pure but for the files named by a job."""
