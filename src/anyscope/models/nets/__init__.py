"""Networks, one file per family; each file ends with the entries that the zoo lists."""
