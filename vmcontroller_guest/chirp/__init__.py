"""What the guest's file server is made of: the login, the verbs in three groups, and the directory that they serve."""
