"""What an operator does. Operations return frozen values; the command line renders them."""
