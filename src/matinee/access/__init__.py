"""Who a person is: names, passwords, the signed cookie, and how often one may guess."""
