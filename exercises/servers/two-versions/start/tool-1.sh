# A library. Its second version renamed everything, of course.
TOOL=1
