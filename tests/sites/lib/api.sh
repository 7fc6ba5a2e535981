# shellcheck shell=bash
# api.sh: OpenStack's REST APIs by curl and jq: milliseconds a call, where the openstack client takes seconds.

declare -A API_PATH=([keystone]=/v3 [nova]=/v2.1 [glance]=/v2 [neutron]=/v2.0 [cinder]=/v3/@PROJECT@)
TOKEN=

# api METHOD SERVICE PATH: the answer's body; fails, with the answer on stderr, on a status of 400 and more. POST sends
# what is on stdin.
api() {
	local url answer options=(-sS --max-time 120 -X "$1" -H "X-Auth-Token: $TOKEN")
	url=http://127.0.0.1:$(port "$2")${API_PATH[$2]/@PROJECT@/${PROJECT_ID:-}}$3
	# Cinder answers 400 to a version header that names another service
	[ "$2" != nova ] || options+=(-H 'OpenStack-API-Version: compute 2.60')
	[ "$1" != POST ] || options+=(-H 'Content-Type: application/json' --data-binary @-)
	[ $# -lt 4 ] || options+=(-H 'Content-Type: application/json' --data-binary "$4")
	answer=$(curl "${options[@]}" -w '\n%{http_code}' "$url") || return 1
	[[ ${answer##*$'\n'} = [23]* ]] || { echo "error: $S: $1 $url: $answer" >&2 && return 1; }
	echo "${answer%$'\n'*}"
}

put_json() { api PUT "$@"; } # SERVICE PATH JSON

# api_login USER PROJECT PASSWORD: TOKEN and PROJECT_ID for the calls that follow
api_login() {
	local answer
	answer=$(jq -n --arg user "$1" --arg project "$2" --arg password "$3" '{auth: {
		identity: {methods: ["password"], password: {user: {name: $user, password: $password, domain: {id: "default"}}}},
		scope: {project: {name: $project, domain: {id: "default"}}}}}' |
		curl -sS -i --max-time 60 -H 'Content-Type: application/json' --data-binary @- "$AUTH_URL/auth/tokens")
	TOKEN=$(sed -n 's/^x-subject-token: *\([^\r]*\).*/\1/ip' <<<"$answer")
	[ -n "$TOKEN" ] || die "$S: cannot log in as $1: $answer"
	PROJECT_ID=$(tail -n 1 <<<"$answer" | jq -r .token.project.id)
}

# find_object SERVICE COLLECTION NAME: its id, or nothing
find_object() {
	local key=${2##*/}
	api GET "$1" "/$2?name=$3" |
		jq -r --arg key "${key//-/_}" --arg name "$3" 'first(.[$key][] | select(.name == $name) | .id) // empty'
}

# ensure_object SERVICE COLLECTION KIND NAME JSON: the id of the object of that name, made from JSON if it is missing
ensure_object() {
	local id
	id=$(find_object "$1" "$2" "$4")
	[ -n "$id" ] ||
		id=$(jq -n --arg kind "$3" --arg name "$4" --argjson body "$5" '{($kind): ($body + {name: $name})}' |
			api POST "$1" "/$2" | jq -r --arg kind "$3" '.[$kind].id')
	echo "$id"
}
