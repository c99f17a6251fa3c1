package entratest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
)

// spelled is a name and how it stands in an address.
type spelled struct{ name, ascii string }

var (
	givenNames = []spelled{{"Ann", "ann"}, {"Zoé", "zoe"}, {"Björn", "bjorn"}, {"José", "jose"}, {"Łukasz", "lukasz"}, {"Søren", "soren"}, {"Ольга", "olga"}, {"王伟", "wei"},
		{"محمد", "mohammed"}, {"Ελένη", "eleni"}, {"Fatima", "fatima"}, {"John", "john"}, {"Priya", "priya"}, {"Chloë", "chloe"}, {"Jürgen", "jurgen"}, {"Anne-Marie", "anne-marie"},
		{"Nguyễn", "nguyen"}, {"Dvořák", "dvorak"}, {"Daniel", "daniel"}, {"Siobhán", "siobhan"}}
	surnames = []spelled{{"Jones", "jones"}, {"Tremblay", "tremblay"}, {"Müller", "muller"}, {"O'Brien", "obrien"}, {"Nuñez", "nunez"}, {"Kowalski", "kowalski"}, {"Petrović", "petrovic"},
		{"van der Berg", "vanderberg"}, {"Haddad", "haddad"}, {"Singh", "singh"}, {"Tanaka", "tanaka"}, {"Côté", "cote"}, {"Åkesson", "akesson"}, {"Smith", "smith"},
		{"D’Angelo", "dangelo"}, {"Yılmaz", "yilmaz"}, {"Okafor", "okafor"}, {"Čapek", "capek"}}
	jobTitles   = []string{"Manager", "Engineer", "Analyst", "Director, Sales", "Technician", "Assistant", "Spécialiste", "VP \"Operations\""}
	departments = []string{"Finance", "Sales", "Engineering", "Human Resources", "Ressources humaines", "IT & Support", "Legal", "Facilities"}
	offices     = []string{"Toronto", "Montréal", "MTL", "Vancouver", "toronto ", "Building 4/2.017"}
	mailboxes   = []string{"Reception", "Accueil", "Scanner", "Invoices", "Bewerbungen"}
)

// Populate adds n accounts as a real tenant has them, the same for the same seed and name of tenant: names in several scripts, of every hundred about three guests, two shared mailboxes,
// three without a mail address, four disabled, and a manager for nearly everybody. It returns them in the order they were added.
func (t *Tenant) Populate(n int, seed uint64) []User {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	sum := fnv.New64a() // so that no two tenants have the same people
	sum.Write([]byte(t.Name))
	p := &populace{r: rand.New(rand.NewPCG(seed, sum.Sum64())), domain: t.domains[0].Name, taken: map[string]int{}}
	for _, d := range t.domains {
		if d.Initial {
			p.initial = d.Name
		}
	}
	all := make([]User, 0, n)
	var bosses []string
	for i := range n {
		u := p.next(i)
		if len(bosses) > 0 && u.UserType == "Member" && u.GivenName != "" {
			u.Manager = bosses[min(len(bosses)-1, i/9)]
		}
		if u.UserType == "Member" && u.Mail != "" && !u.Disabled {
			bosses = append(bosses, u.ID)
		}
		all = append(all, t.add(u))
	}
	return all
}

// populace makes people up.
type populace struct {
	r               *rand.Rand
	domain, initial string
	taken           map[string]int
}

func pick[T any](p *populace, from []T) T { return from[p.r.IntN(len(from))] }

func (p *populace) next(i int) User {
	u := p.employee(i)
	switch kind := p.r.IntN(100); {
	case kind < 3:
		return p.guest(u)
	case kind < 5:
		return p.mailbox(u)
	case kind < 8: // on the shop floor, without a mailbox
		u.UserPrincipalName, u.Mail, u.BusinessPhones = strings.Replace(u.Mail, p.domain, p.initial, 1), "", nil
	case kind < 12:
		u.Disabled = true
	}
	return u
}

// employee has a mail address; the user principal name of some is another.
func (p *populace) employee(i int) User {
	given, surname := pick(p, givenNames), pick(p, surnames)
	mail := p.address(given.ascii+"."+surname.ascii) + "@" + p.domain
	u := User{ID: p.id(), UserPrincipalName: mail, Mail: mail, GivenName: given.name, Surname: surname.name, DisplayName: given.name + " " + surname.name,
		JobTitle: pick(p, jobTitles), Department: pick(p, departments), OfficeLocation: pick(p, offices), EmployeeID: fmt.Sprintf("%06d", i+1), EmployeeType: "Employee",
		CompanyName: "Acme", UserType: "Member", PreferredLanguage: "en-CA"}
	if p.r.IntN(20) == 0 {
		u.UserPrincipalName = strings.Replace(mail, p.domain, p.initial, 1)
	}
	if p.r.IntN(3) > 0 {
		u.BusinessPhones = []string{fmt.Sprintf("+1 416 555 %04d", p.r.IntN(10000))}
	}
	if p.r.IntN(2) == 0 {
		u.MobilePhone = fmt.Sprintf("(514) 555-%04d", p.r.IntN(10000))
	}
	if p.r.IntN(10) == 0 {
		u.JobTitle, u.OfficeLocation = "", ""
	}
	return u
}

// guest is from another directory: #EXT# in the user principal name. Some have not accepted the invitation, and have no name yet.
func (p *populace) guest(u User) User {
	local, _, _ := strings.Cut(u.Mail, "@")
	guest := User{ID: u.ID, Mail: local + "@partner.example", UserPrincipalName: local + "_partner.example#EXT#@" + p.initial, DisplayName: u.DisplayName, UserType: "Guest"}
	if p.r.IntN(4) > 0 {
		guest.GivenName, guest.Surname = u.GivenName, u.Surname
	}
	return guest
}

// mailbox is a shared one: nobody may sign in to it.
func (p *populace) mailbox(u User) User {
	name := pick(p, mailboxes)
	mail := p.address(strings.ToLower(name)) + "@" + p.domain
	return User{ID: u.ID, Mail: mail, UserPrincipalName: mail, DisplayName: name + " " + strings.TrimSpace(pick(p, offices)), UserType: "Member", Disabled: true}
}

// address makes a name unique.
func (p *populace) address(name string) string {
	p.taken[name]++
	if n := p.taken[name]; n > 1 {
		return fmt.Sprintf("%s%d", name, n)
	}
	return name
}

func (p *populace) id() string {
	var b [16]byte
	for i := range b {
		b[i] = byte(p.r.Uint32())
	}
	return guid(b)
}
