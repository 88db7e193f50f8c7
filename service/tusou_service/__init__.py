"""Online: the process that answers queries over HTTP."""
