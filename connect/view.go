package connect

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"

	"foyer"
	"foyer/entra"
	"foyer/reconcile"
	"foyer/store"
)

// View is what the page of a connection shows to whoever came by its link.
type View struct {
	Org        foyer.Org
	Visitor    string // who signed in
	Source     foyer.Source
	Site       string // of the source; "": the whole organization
	Connection foyer.Connection
	Sites      []foyer.Site
	Plan       *Plan      // what it would do; nil: the tenant is being read, or it is confirmed
	Last       *foyer.Run // the newest run of its source; nil: none yet
	SeesGroups bool       // the tenant lets the application see who is in which group; of a page that needs to know, who shows it asks SeesGroups
	Microsoft  string     // where its administrator agrees, https://HOST
}

// Show returns what the page of a connection shows. foyer.Unauthenticated where the session has ended.
func (c *Connector) Show(ctx context.Context, session, browser string, from netip.Addr) (*View, error) {
	v, err := c.Store.Session(ctx, session, browser)
	if err != nil {
		return nil, err
	}
	view := &View{Visitor: v.Visitor}
	if view.Connection, err = c.connection(ctx, v); err != nil {
		return nil, err
	}
	if view.Microsoft, err = c.authority(ctx); err != nil {
		return nil, err
	}
	err = c.Store.View(ctx, c.operator, v.Org, func(b *store.Book) error {
		view.Org, view.Sites = b.Org, b.Sites
		if source := b.Source(v.Source); source != nil {
			view.Source = *source
		}
		if view.Last, err = b.WaitingOf(v.Source); view.Last == nil && err == nil {
			view.Last, err = b.LastApplied(v.Source)
		}
		return err
	})
	for _, site := range view.Sites {
		if site.ID == view.Source.Site {
			view.Site = site.Name
		}
	}
	if err == nil && view.Connection.State == foyer.Confirming && len(view.Connection.Plan) > 0 {
		plan := &Plan{}
		if err = json.Unmarshal(view.Connection.Plan, plan); err == nil && plan.Version == view.Connection.Version {
			view.Plan = plan
		}
	}
	return view, err
}

// Groups returns groups of the tenant whose names begin with prefix, to choose from.
func (c *Connector) Groups(ctx context.Context, session, browser, prefix string) (groups []entra.Group, err error) {
	err = c.asTenant(ctx, session, browser, func(_ store.Visit, t *entra.Tenant) error {
		groups, err = t.Groups(ctx, prefix)
		return forPeople(err)
	})
	return groups, err
}

// SeesGroups tells whether the tenant lets the application see who is in which group.
func (c *Connector) SeesGroups(ctx context.Context, session, browser string) (sees bool, err error) {
	err = c.asTenant(ctx, session, browser, func(_ store.Visit, t *entra.Tenant) error {
		sees, err = t.MaySeeGroups(ctx)
		return forPeople(err)
	})
	return sees, err
}

func (c *Connector) asTenant(ctx context.Context, session, browser string, fn func(store.Visit, *entra.Tenant) error) error {
	v, err := c.Store.Session(ctx, session, browser)
	if err != nil {
		return err
	}
	conn, err := c.connection(ctx, v)
	if err != nil {
		return err
	}
	app, err := c.client(ctx)
	if err != nil {
		return err
	}
	return fn(v, app.Tenant(conn.Tenant))
}

// Set changes how a tenant is read, on behalf of whoever came by its link. Groups get the names that the tenant calls them by; one that is none of its is refused.
func (c *Connector) Set(ctx context.Context, session, browser string, from netip.Addr, edit func(*foyer.EntraSettings) error) error {
	return c.asTenant(ctx, session, browser, func(v store.Visit, t *entra.Tenant) error {
		conn, err := c.connection(ctx, v)
		if err != nil {
			return err
		}
		settings := conn.Settings
		settings.Groups = slices.Clone(settings.Groups)
		if err := edit(&settings); err != nil {
			return err
		}
		return c.set(ctx, visitor(v, from), v.Org, v.Source, settings, t)
	})
}

func (c *Connector) set(ctx context.Context, caller foyer.Caller, org foyer.OrgID, source foyer.SourceID, settings foyer.EntraSettings, t *entra.Tenant) error {
	for i := range settings.Groups {
		group, err := t.Group(ctx, settings.Groups[i].Group)
		if known, ok := asEntra(err); ok && known.Status == 404 {
			return foyer.Errorf(foyer.Invalid, "there is no group %s in this tenant", settings.Groups[i].Group)
		}
		if err != nil {
			return forPeople(err)
		}
		settings.Groups[i].Group, settings.Groups[i].Name = group.ID, group.Name
	}
	_, err := c.Store.EditConnection(ctx, caller, org, source, "set", func(n *foyer.Connection) error {
		n.Settings, n.NextAt = settings, c.Store.Now()
		return nil
	})
	c.Wake()
	return err
}

// SetAs is Set for a caller who needs no link: the operator, or an administrator of the organization.
func (c *Connector) SetAs(ctx context.Context, caller foyer.Caller, org foyer.OrgID, conn foyer.Connection, settings foyer.EntraSettings) error {
	app, err := c.client(ctx)
	if err != nil {
		return err
	}
	return c.set(ctx, caller, org, conn.Source, settings, app.Tenant(conn.Tenant))
}

// The acts on a connection.
const (
	ActConfirm    = "confirm"    // the book follows the tenant from now on
	ActPause      = "pause"      // it does not, for a while
	ActResume     = "resume"     // it does again
	ActSync       = "sync"       // the tenant is read now
	ActResync     = "resync"     // and from the beginning
	ActDisconnect = "disconnect" // nothing is kept of the tenant, and it is not read any more; people stay as they are
)

// AskAgain returns the address where the tenant's administrator agrees, for who was there before and did not, or whose permission was taken back.
func (c *Connector) AskAgain(ctx context.Context, session, browser string) (agree string, err error) {
	v, err := c.Store.Session(ctx, session, browser)
	if err != nil {
		return "", err
	}
	conn, err := c.connection(ctx, v)
	if err != nil {
		return "", err
	}
	app, err := c.client(ctx)
	if err != nil {
		return "", err
	}
	return c.consent(ctx, app, v, browser, conn)
}

// Act carries out an act on behalf of whoever came by the link. To disconnect is a run too, which is returned.
func (c *Connector) Act(ctx context.Context, session, browser string, from netip.Addr, act string) (run *foyer.Run, err error) {
	v, err := c.Store.Session(ctx, session, browser)
	if err != nil {
		return nil, err
	}
	if act == ActDisconnect {
		ending := foyer.PersonCaller(v.Visitor, v.Org, foyer.AccountAdministrator, nil, from) // whoever connected the tenant may end that
		return c.Disconnect(ctx, ending, v.Org, v.Source)
	}
	return nil, c.ActAs(ctx, visitor(v, from), v.Org, v.Source, act)
}

// ActAs carries out an act on a connection, but for disconnecting it. foyer.Conflict where it makes no sense as the connection stands.
func (c *Connector) ActAs(ctx context.Context, caller foyer.Caller, org foyer.OrgID, source foyer.SourceID, act string) error {
	_, err := c.Store.EditConnection(ctx, caller, org, source, act, func(n *foyer.Connection) error {
		state, ok := next(n.State, act)
		if !ok {
			return foyer.Errorf(foyer.Conflict, "the connection is %s: to %s it now makes no sense", n.State, act)
		}
		if act == ActConfirm && n.CheckedAt.IsZero() {
			return foyer.Errorf(foyer.Conflict, "the tenant was not read yet: wait until it is shown what would happen")
		}
		n.State, n.NextAt = state, c.Store.Now()
		return nil
	})
	c.Wake()
	return err
}

// Disconnect ends the source of a connection, which leaves its people as they are, and forgets the tenant. The run that ended it is returned, and can be undone.
func (c *Connector) Disconnect(ctx context.Context, caller foyer.Caller, org foyer.OrgID, source foyer.SourceID) (*foyer.Run, error) {
	run, err := reconcile.EndSource(ctx, c.Store, caller, org, reconcile.Ending{Source: source, Leave: true})
	if err != nil && foyer.KindOf(err) != foyer.Conflict { // it was ended before
		return nil, err
	}
	_, err = c.Store.EditConnection(ctx, caller, org, source, ActDisconnect, func(n *foyer.Connection) error {
		n.State = foyer.Removed
		return nil
	})
	return run, err
}

// next returns the state that an act leads to; ok is false where it leads nowhere.
func next(state foyer.ConnectionState, act string) (to foyer.ConnectionState, ok bool) {
	switch act {
	case ActConfirm:
		return foyer.Connected, state == foyer.Confirming
	case ActPause:
		return foyer.Paused, state == foyer.Connected
	case ActResume:
		return foyer.Connected, state == foyer.Paused || state == foyer.Disconnected
	case ActSync, ActResync:
		return state, state.Reads()
	}
	return state, false
}
