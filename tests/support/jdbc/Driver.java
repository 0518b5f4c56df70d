import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.sql.*;

/** Asks a server what tools ask that know databases by JDBC alone; prints a line for each answer. */
public class Driver {
    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0])) {
            DatabaseMetaData about = connection.getMetaData();
            facts(about);
            list("catalogs", about.getCatalogs(), "TABLE_CAT");
            list("schemas", about.getSchemas(), "TABLE_SCHEM");
            list("types", about.getTableTypes(), "TABLE_TYPE");
            list("tables", about.getTables(null, "main", "%", new String[] {"TABLE"}), "TABLE_NAME");
            list("columns", about.getColumns(null, "main", "ny", "%"), "COLUMN_NAME", "TYPE_NAME");
            list("primary keys", about.getPrimaryKeys(null, null, "ny"), "COLUMN_NAME");
            list("imported keys", about.getImportedKeys(null, null, "ny"), "FKCOLUMN_NAME");
            list("exported keys", about.getExportedKeys(null, null, "ny"), "FKCOLUMN_NAME");
            list("cross reference", about.getCrossReference(null, null, "ny", null, null, "ny"), "FKCOLUMN_NAME");
            try (Statement statement = connection.createStatement()) {
                list("records", statement.executeQuery("SELECT * FROM ny ORDER BY datetime LIMIT 1"), "id", "datetime");
                ResultSet box = statement.executeQuery("SELECT bbox FROM ny LIMIT 1");
                box.next();
                System.out.println("struct: " + ((java.util.Map<?, ?>) box.getObject(1)).keySet());
                box.close();
                failure("update", () -> statement.executeUpdate("DELETE FROM ny"));
                failure("query", () -> statement.executeQuery("SELECT foo FROM ny"));
            }
            prepared(connection);
        }
    }

    static void prepared(Connection connection) throws SQLException {
        String query = "SELECT id FROM ny WHERE datetime > ? AND \"proj:epsg\" = ? AND id LIKE ? AND 1 = ?::INT ORDER BY id LIMIT ?";
        try (PreparedStatement statement = connection.prepareStatement(query)) {
            System.out.println("parameters: " + statement.getParameterMetaData().getParameterCount());
            for (String like : new String[] {"LC08_L1TP_013032%", "LC08_L1TP_014032%"}) {
                statement.setTimestamp(1, Timestamp.valueOf("2018-01-01 00:00:00"));
                statement.setLong(2, 32618);
                statement.setString(3, like);
                statement.setInt(4, 1);
                statement.setLong(5, 2);
                list("prepared", statement.executeQuery(), "id");
            }
        }
        try (PreparedStatement statement = connection.prepareStatement(
                "SELECT count(*) AS n FROM read_pixels('ny', bands := [?], resolution := ?)")) {
            statement.setString(1, "red");
            statement.setDouble(2, 3000);
            list("arguments", statement.executeQuery(), "n");
        }
    }

    /** Every question without arguments has an answer. */
    static void facts(DatabaseMetaData about) throws Exception {
        for (Method method : DatabaseMetaData.class.getMethods()) {
            if (method.getParameterCount() == 0) {
                try {
                    Object answer = method.invoke(about);
                    if (answer instanceof ResultSet) {
                        ((ResultSet) answer).close();
                    } else {
                        System.out.println("fact: " + method.getName() + " = " + answer);
                    }
                } catch (InvocationTargetException error) {
                    System.out.println("no fact: " + method.getName() + " " + error.getCause());
                }
            }
        }
    }

    static void list(String what, ResultSet rows, String... columns) throws SQLException {
        StringBuilder line = new StringBuilder(what + ":");
        while (rows.next()) {
            for (String column : columns) {
                line.append(' ').append(rows.getObject(column));
            }
            line.append(';');
        }
        rows.close();
        System.out.println(line);
    }

    interface Action {
        void run() throws SQLException;
    }

    static void failure(String what, Action action) {
        try {
            action.run();
            System.out.println(what + ": answered");
        } catch (SQLException error) {
            System.out.println(what + ": " + error.getMessage());
        }
    }
}
