# A library, of which everything was renamed.
TOOL=2
