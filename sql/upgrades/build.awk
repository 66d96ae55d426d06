# Prints an upgrade script: what a database with the released version needs to become like one with the version that sql/ holds.
#
#   awk -v released=gravity_memory--0.1.0.sql -v target=0.2.0 -f sql/upgrades/build.awk PART...
#
# A PART is a file of sql/, in load order, or of sql/upgrades/. Each is printed or left out as a whole:
# - A script (DO ...) and everything in sql/upgrades/ is printed as it is.
# - An object that the released script has in the same words is left out.
# - An object of a name that the released script has is printed with OR REPLACE, which keeps its owner and the privileges that were
#   granted on it; unless a part before drops it. A REVOKE that the released script made is not repeated: it would take back
#   what the database's owner granted since, and pg_dump would take that owner's other grants for ours and leave them out.
# - Any other object is printed as it is, so that one of that name that somebody made by hand is never taken over.
# What the released script has and no PART creates must be dropped by a part; a forgotten one is an error.
#
# POSIX awk, because make must build wherever PostgreSQL can be installed.

function fail(message) {
    print "build.awk: " message > "/dev/stderr"
    failed = 1
    exit 1
}

# The whole of a file.
function content(path,    line, text, got) {
    text = ""
    while ((got = (getline line < path)) > 0)
        text = text line "\n"
    if (got < 0)
        fail("cannot read " path)
    close(path)
    return text
}

# "FUNCTION @extschema@.name(" of the object that a file creates; a file that creates none, or several, is a mistake.
function object(text, path,    count, rest, name) {
    rest = "\n" text
    while (match(rest, /\nCREATE (FUNCTION|PROCEDURE) @extschema@\.[a-z_0-9]+\(/)) {
        count++
        name = substr(rest, RSTART + 8, RLENGTH - 8)
        rest = substr(rest, RSTART + RLENGTH)
    }
    if (count != 1)
        fail(path " creates " count + 0 " functions and procedures, and one is expected")
    return name
}

# The text of an object without the REVOKE statements that the released script has.
function without_known_revokes(text,    kept, statement) {
    kept = ""
    while (match(text, /\nREVOKE [^;]*;/)) {
        statement = substr(text, RSTART, RLENGTH)
        kept = kept substr(text, 1, RSTART - 1) (index(old, statement "\n") ? "" : statement)
        text = substr(text, RSTART + RLENGTH)
    }
    return kept text
}

function print_part(path, text) {
    printf "\n-- %s\n\n%s", path, text
    printed = printed "\n" text
}

BEGIN {
    # The released script puts each file between two such headings; one more lets the last be found like the others.
    old = content(released) "\n-- sql/"
    printf "\\echo Use \"ALTER EXTENSION gravity_memory UPDATE TO '%s'\" to load this file. \\quit\n", target
    for (i = 1; i < ARGC; i++) {
        path = ARGV[i]
        text = content(path)
        if (path ~ /^sql\/upgrades\// || ("\n" text) ~ /\nDO \$/) {
            print_part(path, text)
            continue
        }
        name = object(text, path)
        created = created "\n" name
        if (index(old, "\n\n" text "\n-- sql/"))
            continue
        if (index(old, "\nCREATE " name) && !index(printed, "\nDROP " name)) {
            text = "\n" without_known_revokes(text)
            sub(/\nCREATE /, "\nCREATE OR REPLACE ", text)
            text = substr(text, 2)
        }
        print_part(path, text)
    }

    while (match(old, /\nCREATE (FUNCTION|PROCEDURE) @extschema@\.[a-z_0-9]+\(/)) {
        name = substr(old, RSTART + 8, RLENGTH - 8)
        old = substr(old, RSTART + RLENGTH)
        if (!index(created, "\n" name) && !index(printed, "\nDROP " name))
            fail(released " has " name "...), sql/ has not, and no part drops it")
    }
    exit 0
}

END {
    exit failed
}
