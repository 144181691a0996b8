//! What senders call the fields of a person that everybody has, and what we call them: one person's name must be one field,
//! wherever it came from.

/// Our name for a sender's label (`First Name`, `first_name`); `None` for a field of the sender's own.
pub(crate) fn canonical(label: &str) -> Option<&'static str> {
    let folded: String = label
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    Some(match folded.as_str() {
        "firstname" | "givenname" | "forename" => "firstName",
        "lastname" | "surname" | "familyname" => "lastName",
        "phone" | "phonenumber" | "telephone" | "mobile" | "mobilephone" => "phone",
        "country" | "countrycode" => "country",
        "postcode" | "postalcode" | "zip" | "zipcode" => "postcode",
        "city" | "town" | "locality" => "locality",
        "street" | "streetaddress" => "street",
        "birthdate" | "dateofbirth" | "birthday" => "birthDate",
        _ => return None,
    })
}

/// The name under which a field of a contact is kept, for one that somebody writes as their platform does.
pub fn field_name(label: &str) -> &str {
    canonical(label).unwrap_or(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_mean_the_same_become_one_name_and_others_stay() {
        for (label, name) in [
            ("First Name", Some("firstName")),
            ("first_name", Some("firstName")),
            ("firstName", Some("firstName")),
            ("SURNAME", Some("lastName")),
            ("Zip-Code", Some("postcode")),
            ("Date Of Birth", Some("birthDate")),
            ("Favourite colour", None),
            ("", None),
        ] {
            assert_eq!(canonical(label), name, "{label}");
        }
    }
}
