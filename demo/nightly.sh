# What a nightly job runs: git and a program with Amazon's SDK, as they are. Nothing in here is about credentials.
exec 2>&1
PS4='$ '
set -eux
git clone --quiet "$GIT_SERVER/acme/api"
cd api
node "$DEMO/read-object.ts" artifacts/build.txt > BUILD.txt
git add BUILD.txt
git commit --quiet --message 'the build of tonight'
git push --quiet
{ set +x; } 2> /dev/null
echo "secrets of GitHub or AWS in this environment: $(env | grep -cE '=(ghs_|ASIA)')"
