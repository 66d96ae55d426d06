#!/bin/sh
# Prints the SQL that hands every version of the extension, and the upgrades between them, to pg_tle, which serves where nobody can
# put files. Run in the repository: sh sql/tle/build.sh gravity_memory
#
# Each script is passed as it stands in its file. POSIX sh, because make must build wherever PostgreSQL can be installed.
set -eu
LC_ALL=C
export LC_ALL
name=$1
tag='$gravity_memory_tle$'

fail() {
    echo "build.sh: $1" >&2
    exit 1
}

# A value of the control file, as a literal of SQL without its quotes.
control() {
    value=$(sed -n "s/^$1 *= *'\(.*\)' *\$/\1/p" "$name.control")
    [ -n "$value" ] || fail "$name.control lacks $1"
    printf '%s' "$value"
}

# call FUNCTION FILE ARGUMENTS: FUNCTION of pg_tle with the arguments and the text of the file.
call() {
    printf "SELECT pgtle.%s('%s', %s, %s" "$1" "$name" "$3" "$tag"
    cat "$2"
    printf '%s' "$tag"
}

version=$(control default_version)
comment=$(control comment)
required=$(control requires)
required=$(printf '%s' "$required" | sed "s/ *, */', '/g")

# pg_tle quotes a script with the last two, and refuses one in which they occur.
for forbidden in "$tag" '$_pgtle_o_$' '$_pgtle_i_$'; do
    found=$(grep -l -F -e "$forbidden" "$name.control" "$name"--*.sql || true)
    [ -z "$found" ] || fail "$forbidden, which quotes the scripts for pg_tle, occurs in $found: use another tag there"
done

cat <<HEAD
-- $name $version for pg_tle: this version, every one before it, and the upgrades between them. Built by: make tle
--
--   psql --set=ON_ERROR_STOP=1 --single-transaction --file=$name--tle.sql
--
-- in the database that is to have the extension, after CREATE EXTENSION pg_tle, as a member of pgtle_admin. Then CREATE EXTENSION
-- $name, or ALTER EXTENSION $name UPDATE where an older version is. What pg_tle has already is left as it is, so
-- that this file can be run after an older version's.

HEAD

# Where pg_tle knows an older version, this makes the new one the default.
call install_extension "$name--$version.sql" "'$version', '$comment'"
cat <<END
, ARRAY['$required'])
WHERE NOT EXISTS (SELECT FROM pgtle.available_extension_versions() AS v WHERE v.name = '$name' AND v.version = '$version');
END

for file in "$name"--*.sql; do
    path=${file#"$name--"}
    path=${path%.sql}
    [ "$path" != "$version" ] || continue
    echo
    case $path in
    *--*)
        call install_update_path "$file" "'${path%%--*}', '${path#*--}'"
        cat <<END
)
WHERE NOT EXISTS (SELECT FROM pgtle.extension_update_paths('$name') AS p WHERE p.path = '$path');
END
        ;;
    *)
        call install_extension_version_sql "$file" "'$path'"
        cat <<END
)
WHERE NOT EXISTS (SELECT FROM pgtle.available_extension_versions() AS v WHERE v.name = '$name' AND v.version = '$path');
END
        ;;
    esac
done
