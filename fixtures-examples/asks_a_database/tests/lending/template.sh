# The fixture `template`: a database with all tables and the first books, from which every slot gets a
# copy. To copy one takes a fraction of the time that it takes to fill one.
set -eu
"$POSTGRES_BIN/createdb" books
"$POSTGRES_BIN/psql" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 books <<'SQL'
CREATE TABLE books (title text PRIMARY KEY);
CREATE TABLE loans (book text PRIMARY KEY REFERENCES books, reader text NOT NULL);
INSERT INTO books VALUES ('Emma'), ('Persuasion'), ('Villette');
SQL
