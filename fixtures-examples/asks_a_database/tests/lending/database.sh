# The fixture `database`: a copy of the template for the tests of one slot.
set -eu
name=library_$PARTEST_SLOT
"$POSTGRES_BIN/createdb" --template=books "$name"
echo "PGDATABASE=$name" >> "$PARTEST_ENV"
echo PARTEST_READY
# The end of the input is how the runner says that it is over.
cat > /dev/null
"$POSTGRES_BIN/dropdb" "$name"
