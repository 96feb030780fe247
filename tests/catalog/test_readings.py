from breastlabel.catalog.readings import all_versions, reader_of, readings_by_reader


def test_all_versions_come_by_image_and_version_the_rejected_ones_too(catalog, add):
    add("ab")
    catalog.labels.save("b", b"1")
    catalog.labels.save("a", b"2", tag="original")
    rejected = catalog.labels.save("a", b"3")
    catalog.labels.save("a", b"4")
    catalog.labels.set_state("a", rejected.version, "rejected")
    found = [(v.image_id, v.version, v.state) for v in all_versions(catalog.database)]
    assert found == [("a", 1, "final"), ("a", 2, "rejected"), ("a", 3, "final"), ("b", 1, "final")]
    assert [v.version for v in all_versions(catalog.database, "original")] == [1]


def test_versions_are_read_in_pieces(catalog, add, monkeypatch):
    from breastlabel.catalog import readings

    monkeypatch.setattr(readings, "_ROWS_AT_ONCE", 2)
    add("abcde")
    for image_id in "abcde":
        catalog.labels.save(image_id, b"x")
    assert [v.image_id for v in all_versions(catalog.database)] == list("abcde")


def test_each_readers_newest_accepted_version_is_their_reading(catalog, add):
    add("abc")
    catalog.labels.save("a", b"1", author="ann")
    catalog.labels.save("a", b"2", author="bob")
    newest = catalog.labels.save("a", b"3", author="ann")
    withdrawn = catalog.labels.save("a", b"4", author="bob")
    catalog.labels.set_state("a", withdrawn.version, "rejected")
    catalog.labels.save("b", b"5", author="ann")
    catalog.labels.save("b", b"6", author="ann")
    ((image_id, readings),) = readings_by_reader(catalog.database)
    assert image_id == "a"
    assert {reader: version.version for reader, version in readings.items()} == {"ann": 3, "bob": 2}
    assert readings["ann"] == newest


def test_files_of_the_folder_proposals_drafts_and_restored_versions_are_no_readings(catalog, add):
    add("a")
    catalog.labels.save("a", b"model", tag="original", author="bob")
    catalog.labels.save("a", b"by hand")
    first = catalog.labels.save("a", b"1", author="ann")
    catalog.labels.save("a", b"2", tag="draft", author="cem")
    catalog.labels.restore("a", first.version, author="dan")
    assert list(readings_by_reader(catalog.database)) == []


def test_the_client_stands_in_where_nobody_is_named(catalog, add):
    add("a")
    catalog.labels.save("a", b"1", client_id="slicer-1")
    catalog.labels.save("a", b"2", client_id="slicer-2", author="ann")
    ((_, readings),) = readings_by_reader(catalog.database)
    assert set(readings) == {"slicer-1", "ann"}
    assert reader_of(readings["ann"]) == "ann"
