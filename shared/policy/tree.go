package policy

import "strings"

// maxPath bounds the path of a request. API Gateway refuses ARNs of more than
// 1,600 bytes itself.
const maxPath = 8 << 10 // bytes

// node is a place in the tree of all templates: what is left of the path after
// the segments that led here decides.
type node struct {
	literals map[string]*node
	param    *node
	proxy    *leaf
	end      *leaf
}

// leaf is one template: its entries by method, 1-based, 0 for none.
type leaf struct {
	entries [len(methods)]int
}

// leaf returns the leaf for a template, which it adds if it is new.
func (n *node) leaf(path []segment) *leaf {
	place := &n.end
	for _, s := range path {
		switch s.kind {
		case proxy:
			place = &n.proxy
			continue // it is the last
		case param:
			if n.param == nil {
				n.param = &node{}
			}
			n = n.param
		case literal:
			if n.literals == nil {
				n.literals = map[string]*node{}
			}
			if n.literals[s.text] == nil {
				n.literals[s.text] = &node{}
			}
			n = n.literals[s.text]
		}
		place = &n.end
	}
	if *place == nil {
		*place = &leaf{}
	}
	return *place
}

// find returns the entry of the most specific template that matches rest and
// has the method. It visits each node at most once.
func (n *node) find(rest string, method int) int {
	text, tail, more := strings.Cut(rest, "/")
	if next := n.literals[text]; next != nil {
		if found := next.descend(tail, more, method); found != 0 {
			return found
		}
	}
	if n.param != nil && text != "" {
		if found := n.param.descend(tail, more, method); found != 0 {
			return found
		}
	}
	if n.proxy != nil && rest != "" {
		return n.proxy.entries[method]
	}
	return 0
}

func (n *node) descend(tail string, more bool, method int) int {
	switch {
	case more:
		return n.find(tail, method)
	case n.end != nil:
		return n.end.entries[method]
	default:
		return 0
	}
}

// around calls visit for the entries of a method whose templates agree with
// the literals of prefix as far as both go: all that could match a path that
// begins so.
func (n *node) around(prefix []segment, method int, visit func(number int)) {
	if n.end != nil && len(prefix) == 0 {
		n.end.visit(method, visit)
	}
	if n.proxy != nil {
		n.proxy.visit(method, visit)
	}
	if n.param != nil {
		n.param.around(prefix[min(1, len(prefix)):], method, visit)
	}
	if len(prefix) > 0 {
		if next := n.literals[prefix[0].text]; next != nil {
			next.around(prefix[1:], method, visit)
		}
		return
	}
	for _, next := range n.literals {
		next.around(nil, method, visit)
	}
}

func (l *leaf) visit(method int, visit func(number int)) {
	if number := l.entries[method]; number != 0 {
		visit(number)
	}
}
