package rpmdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// SQLite's file format, as far as reading one table needs it:
// https://www.sqlite.org/fileformat.html
const (
	sqliteMagic  = "SQLite format 3\x00"
	pageInterior = 0x05
	pageLeaf     = 0x0d

	maxDepth  = 20        // of a tree; SQLite's own limit
	maxRecord = 256 << 20 // of a header; rpm's own limit
)

type sqliteDB struct {
	file     io.ReaderAt
	pageSize int64
	usable   int64 // of a page: its end may be reserved
	pages    int64
	visited  map[uint32]bool // a page belongs to one tree once
}

// readSQLite returns the headers in table Packages, in the order of their
// numbers.
func readSQLite(file io.ReaderAt, size int64) ([][]byte, error) {
	intro := make([]byte, 100)
	if _, err := file.ReadAt(intro, 0); err != nil {
		return nil, fmt.Errorf("SQLite: reading its start: %w", err)
	}
	db := &sqliteDB{file: file, pageSize: int64(binary.BigEndian.Uint16(intro[16:])), visited: map[uint32]bool{}}
	if db.pageSize == 1 {
		db.pageSize = 65536
	}
	db.usable = db.pageSize - int64(intro[20])
	if db.pageSize < 512 || db.pageSize&(db.pageSize-1) != 0 || db.usable < 480 {
		return nil, fmt.Errorf("SQLite: pages of %d bytes", db.pageSize)
	}
	db.pages = size / db.pageSize
	var root uint32
	err := db.rows(1, 0, func(record []byte) error {
		columns, err := columns(record) // type, name, table, root page, text
		if err != nil {
			return err
		}
		if len(columns) < 4 || string(columns[0]) != "table" || string(columns[1]) != "Packages" {
			return nil
		}
		for _, b := range columns[3] {
			root = root<<8 | uint32(b)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("SQLite: reading the schema: %w", err)
	}
	if root == 0 {
		return nil, errors.New("SQLite: there is no table Packages")
	}
	var headers [][]byte
	err = db.rows(root, 0, func(record []byte) error {
		columns, err := columns(record) // number, header
		if err != nil {
			return err
		}
		if len(columns) < 2 {
			return errors.New("a row has no header")
		}
		headers = append(headers, columns[1])
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("SQLite: reading table Packages: %w", err)
	}
	return headers, nil
}

func (db *sqliteDB) page(number uint32) ([]byte, error) {
	if number == 0 || int64(number) > db.pages {
		return nil, fmt.Errorf("page %d of %d", number, db.pages)
	}
	if db.visited[number] {
		return nil, fmt.Errorf("page %d is used twice", number)
	}
	db.visited[number] = true
	page := make([]byte, db.pageSize)
	if _, err := db.file.ReadAt(page, int64(number-1)*db.pageSize); err != nil {
		return nil, err
	}
	return page[:db.usable], nil
}

// rows calls visit with each record of the tree below a page.
func (db *sqliteDB) rows(number uint32, depth int, visit func([]byte) error) error {
	if depth > maxDepth {
		return errors.New("the tree is too deep")
	}
	page, err := db.page(number)
	if err != nil {
		return err
	}
	head := page
	if number == 1 {
		head = page[100:] // the file's own header comes first
	}
	size, cells := 8, int(binary.BigEndian.Uint16(head[3:]))
	if head[0] == pageInterior {
		size = 12
	} else if head[0] != pageLeaf {
		return fmt.Errorf("page %d has type %d", number, head[0])
	}
	if size+2*cells > len(head) {
		return fmt.Errorf("page %d has %d cells", number, cells)
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(head[size+2*i:]))
		if at+4 > len(page) {
			return fmt.Errorf("page %d has a cell at %d", number, at)
		}
		if head[0] == pageInterior {
			if err := db.rows(binary.BigEndian.Uint32(page[at:]), depth+1, visit); err != nil {
				return err
			}
			continue
		}
		record, err := db.record(page[at:])
		if err != nil {
			return fmt.Errorf("page %d: %w", number, err)
		}
		if err := visit(record); err != nil {
			return err
		}
	}
	if head[0] == pageInterior {
		return db.rows(binary.BigEndian.Uint32(head[8:]), depth+1, visit)
	}
	return nil
}

// record reads a leaf's cell, and the chain of pages that its end may be on.
func (db *sqliteDB) record(cell []byte) ([]byte, error) {
	size, cell, err := varint(cell)
	if err != nil {
		return nil, err
	}
	if _, cell, err = varint(cell); err != nil { // the row's number
		return nil, err
	}
	if size > maxRecord {
		return nil, fmt.Errorf("a record of %d bytes", size)
	}
	total := int64(size)
	local := total
	if most := db.usable - 35; total > most {
		least := (db.usable-12)*32/255 - 23
		if local = least + (total-least)%(db.usable-4); local > most {
			local = least
		}
	}
	if local > int64(len(cell)) {
		return nil, errors.New("a record is cut short")
	}
	record := append([]byte(nil), cell[:local]...)
	if local == total {
		return record, nil
	}
	if local+4 > int64(len(cell)) {
		return nil, errors.New("a record is cut short")
	}
	next := binary.BigEndian.Uint32(cell[local:])
	for int64(len(record)) < total {
		page, err := db.page(next)
		if err != nil {
			return nil, err
		}
		next = binary.BigEndian.Uint32(page)
		record = append(record, page[4:][:min(total-int64(len(record)), db.usable-4)]...)
	}
	return record, nil
}

// columns splits a record into the bytes of its columns.
func columns(record []byte) ([][]byte, error) {
	size, rest, err := varint(record)
	if err != nil {
		return nil, err
	}
	used := uint64(len(record) - len(rest))
	if size < used || size > uint64(len(record)) {
		return nil, errors.New("a record's header is cut short")
	}
	kinds, values := rest[:size-used], record[size:]
	var columns [][]byte
	for len(kinds) > 0 {
		var kind uint64
		if kind, kinds, err = varint(kinds); err != nil {
			return nil, err
		}
		width := valueSize(kind)
		if width > uint64(len(values)) {
			return nil, errors.New("a record's values are cut short")
		}
		columns, values = append(columns, values[:width]), values[width:]
	}
	return columns, nil
}

// valueSize is how many bytes a column of a kind has.
func valueSize(kind uint64) uint64 {
	switch {
	case kind <= 4:
		return kind
	case kind == 5:
		return 6
	case kind == 6, kind == 7:
		return 8
	case kind < 12: // constants
		return 0
	default: // bytes when even, text when odd
		return (kind - 12) / 2
	}
}

// varint reads a number of 1 to 9 bytes.
func varint(raw []byte) (value uint64, rest []byte, err error) {
	for i := range 9 {
		if i == len(raw) {
			return 0, nil, errors.New("a number is cut short")
		}
		if i == 8 {
			return value<<8 | uint64(raw[i]), raw[9:], nil
		}
		value = value<<7 | uint64(raw[i]&0x7f)
		if raw[i] < 0x80 {
			return value, raw[i+1:], nil
		}
	}
	return value, raw, nil // not reached: the ninth byte ends it
}
