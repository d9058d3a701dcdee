package connect

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// servers are the servers of a list of URLs. Only their addresses are shown to people.
type servers []endpoint

// endpoint is one server: its address, and its URL as url.URL writes it. A password may contain any
// characters.
type endpoint struct{ address, url string }

// String returns the addresses, for people.
func (s servers) String() string { return s.join(func(one endpoint) string { return one.address }) }

// urls returns the list that nats.Connect takes. The list contains the secrets.
func (s servers) urls() string { return s.join(func(one endpoint) string { return one.url }) }

func (s servers) join(text func(endpoint) string) string {
	all := make([]string, len(s))
	for i, one := range s {
		all[i] = text(one)
	}
	return strings.Join(all, ",")
}

// parseServers reads URLs separated by commas. A password may contain anything but a comma.
// Everything before the last @ is the user, whether or not it is escaped as URLs demand. The error
// shows nothing of a text that could not be read, because the text may be a password.
func parseServers(urls string) (servers, error) {
	var all servers
	users := 0
	for i, text := range strings.Split(urls, ",") {
		one, user, ok := parseServer(strings.TrimSpace(text))
		if !ok {
			return nil, fmt.Errorf("--nats-url (NATS_URL): the server at place %d cannot be read: expected "+
				"nats://host:4222 or nats://user:password@host:4222, with %%2C for a comma in a password", i+1)
		}
		if all = append(all, one); user {
			users++
		}
	}
	if users > 0 && users < len(all) {
		return nil, errors.New("--nats-url (NATS_URL): some servers have a user and others have none: " +
			"give the user with --nats-user, or write %2C for a comma in a password")
	}
	return all, nil
}

var (
	schemeOf  = regexp.MustCompile(`^[a-z]+://`)
	addressOf = regexp.MustCompile(`^(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$`)
)

func parseServer(text string) (one endpoint, hasUser, ok bool) {
	scheme := schemeOf.FindString(text)
	user, address, hasUser := cutLast(strings.TrimPrefix(text, scheme), "@")
	address, path, _ := strings.Cut(address, "/")
	u := url.URL{Scheme: strings.TrimSuffix(cmp.Or(scheme, "nats://"), "://"), Host: address, Path: path}
	if hasUser {
		u.User = userinfo(user)
	}
	return endpoint{address: address, url: u.String()}, hasUser, addressOf.MatchString(address)
}

// cutLast cuts around the last separator. Without a separator the whole text is after.
func cutLast(text, separator string) (before, after string, found bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return "", text, false
	}
	return text[:at], text[at+len(separator):], true
}

// userinfo returns a user and a password, or a token.
func userinfo(text string) *url.Userinfo {
	name, password, both := strings.Cut(text, ":")
	if !both {
		return url.User(unescaped(name))
	}
	return url.UserPassword(unescaped(name), unescaped(password))
}

// unescaped undoes the escapes of a URL. If a percent sign begins no escape, the text stays as it
// is.
func unescaped(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// withoutURL removes from an error the URL that could not be read, because the URL may hold a
// password.
func withoutURL(err error) error {
	if _, is := errors.AsType[*url.Error](err); is {
		return errors.New("the URL of a server cannot be read")
	}
	return err
}
